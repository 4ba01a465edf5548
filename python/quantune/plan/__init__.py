"""The plan: which layer gets which precision, and why."""

from quantune.plan.schema import SCHEMA, LayerPlan, Plan, Quantization

__all__ = ["SCHEMA", "LayerPlan", "Plan", "Quantization"]

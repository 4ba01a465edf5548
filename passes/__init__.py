"""The compiler: one file a pass, named as the pass is named."""

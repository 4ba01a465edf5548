"""Methods that change a network's constants so that quantizing it costs less: one folder a method."""

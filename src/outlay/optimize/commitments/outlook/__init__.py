"""What may come: simulated futures of demand, falling prices, and what a quantity risks in them."""

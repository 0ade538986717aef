"""What stands: recommendations computed again after loads and daily, and since when they hold."""

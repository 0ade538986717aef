"""What is owned: commitments in force, what they served, what went unused."""

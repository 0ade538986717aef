"""What would have been: the break-even rule, perfect foresight, and the plan followed on its own history."""

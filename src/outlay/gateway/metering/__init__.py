"""What a call may cost before it goes, and what it did cost: bounds, tries, settlements and their events."""

"""What is for sale: offers, the files and tables they come from, and flexible terms."""

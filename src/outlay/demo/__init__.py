"""The synthetic company: a year of bills nobody ever paid, with the waste in them known to the last digit."""

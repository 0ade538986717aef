"""What a program that spends the money imports: a record of its own training runs. Standard library only."""

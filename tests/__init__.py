"""The tests of Outlay; they mirror src/outlay."""

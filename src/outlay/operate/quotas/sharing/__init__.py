"""What shared quotas stand on: scripts that Redis runs, the line to it, and settlements on their way there."""

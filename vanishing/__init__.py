"""What the stages share, one concept per module."""

"""What is claimed while a start or a reload is not over."""

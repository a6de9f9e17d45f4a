"""What people and machines outside touch: the command line, data sets, the broker, the demo."""

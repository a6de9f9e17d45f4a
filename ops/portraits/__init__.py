"""What `hopstream inspect` tells of a version, a theme, an item: first as plain values, then as text."""

"""What each role tells Prometheus: one constructor per role, one registry per process."""

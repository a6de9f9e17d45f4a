"""What runs inside the containers beside the roles, and the check of all of them on a real engine."""

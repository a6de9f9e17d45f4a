"""Events in, recommendations out. Time, keys and state; of torch only that a scorer ranks."""

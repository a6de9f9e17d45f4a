"""What a process of ours says by its exit status; the same table stands in ops/README.md.

Knows: numbers and their meaning. Does not know: who exits.
"""

OK = 0
CHECK_FAILED = 1  # the command ran and its answer is no: invalid file, unhealthy system, unexplained losses
USAGE = 2  # wrong options or configuration
BROKER_UNREACHABLE = 3
NOT_FOUND = 4  # no such user, item, version or data set
INFRASTRUCTURE = 70  # a role gave up on something outside itself; a supervisor starts it again

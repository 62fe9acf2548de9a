"""Many experiments under equal conditions: protocol, scheduler, trials, significance.

Nothing is imported here, so that a process of the pool imports only what it runs.
"""

"""Code RL: single-turn problems whose reward is the execution of hidden tests.

Nothing is imported here, so that the light parts (problems, the box) load without the rest.
"""

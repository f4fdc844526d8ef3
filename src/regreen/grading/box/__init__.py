"""The test runner that lives inside a box; standard library and pytest only, never regreen.

The directory is bound read-only into the box as the package ``regreen_box``, so its modules
import each other relatively and work with whatever Python the repository's environment has.
"""

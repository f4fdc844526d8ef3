"""What lives inside the box of candidate programs: standard library only, bound read-only.

The files keep their dotted names there, below namespace packages, so both sides import one text.
"""

"""What training reads, made from repositories and sifted by other models.

A repository becomes texts (whole, by file, with a hole to fill); rows become fewer rows by an
endpoint's judgement. Nothing here runs a model of our own.
"""

"""What a run would meet, found out before the first snapshot; changes nothing in vCenter.

``orchestrate check`` tells all of it; a run makes the tests that block it, and begins with what passes.
"""

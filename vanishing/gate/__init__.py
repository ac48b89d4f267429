"""A gate for tests: a new network is held to what any network that trains does on one batch.

`assertion` has the public `assert_trains`. `trials` trains a new network for a few steps under
`vanishing.watch`, `checks` judge what was recorded, `source_lines` finds where a module is made,
`failures` is what failed, in words. `plugin` is loaded by pytest, so it imports no torch.
"""

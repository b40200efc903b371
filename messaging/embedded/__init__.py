"""A Redis server of our own, where nobody has set one up.

`embedded_redis` runs it on a `data_folder`; by `runtime_file` other processes of the same user find it.
"""

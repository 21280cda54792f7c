"""How the line is put into operation: `local` on one machine, `k8s` on a cluster.

Only the command line imports from here.
"""

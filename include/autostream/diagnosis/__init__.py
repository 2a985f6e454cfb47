"""Why a Flink job is slow, stuck or failing, found out while it runs; and log levels that are changed for a while.

What is concluded is pure: `failures`, `back_pressure`, `skew`, `checkpoint_anatomy`, `watermark_holders`, `threads`,
`flame_graph`, `log_errors`. `reading` asks the cluster, `diagnosing` puts the parts together.
"""

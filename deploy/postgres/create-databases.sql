-- Run by the Postgres container on its first start: one database per service, which no other service may enter.
\getenv password POSTGRES_PASSWORD

create role users login password :'password';
create database users owner users;
revoke all on database users from public;

create role orders login password :'password';
create database orders owner orders;
revoke all on database orders from public;

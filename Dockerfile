# One image per service: docker build --target users .
# To add a service, add a target at the end, and a service to docker-compose.yml.

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# No package that the build needs has an install script.
RUN --mount=type=cache,target=/root/.npm npm ci --ignore-scripts
COPY nest-cli.json tsconfig.json ./
COPY apps apps
COPY libs libs
RUN npm run build

FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --ignore-scripts

FROM node:24-slim AS runtime
WORKDIR /app
# 0.0.0.0: a published port arrives at the container's address, not at its loopback.
ENV NODE_ENV=production HOST=0.0.0.0
COPY --from=dependencies /app/node_modules node_modules
COPY package.json ./
COPY libs/messaging/migrations libs/messaging/migrations
COPY libs/service/migrations libs/service/migrations
# The files belong to root, so the service cannot change itself.
USER node

FROM runtime AS users
COPY apps/users/migrations apps/users/migrations
COPY --from=build /app/dist/apps/users dist/apps/users
ENV USERS_PORT=3000
EXPOSE 3000
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=5 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.USERS_PORT}/health/ready`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "--enable-source-maps", "dist/apps/users/apps/users/src/main.js"]

FROM runtime AS orders
COPY apps/orders/migrations apps/orders/migrations
COPY --from=build /app/dist/apps/orders dist/apps/orders
ENV ORDERS_PORT=3001
EXPOSE 3001
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=5 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.ORDERS_PORT}/health/ready`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "--enable-source-maps", "dist/apps/orders/apps/orders/src/main.js"]

# The sandbox: no build, no packages.
FROM node:24-slim AS payment-provider
WORKDIR /app
ENV NODE_ENV=production HOST=0.0.0.0
COPY tools/payment-provider tools/payment-provider
USER node
ENV PAYMENT_PROVIDER_PORT=3002
EXPOSE 3002
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=5 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PAYMENT_PROVIDER_PORT}/health/ready`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "tools/payment-provider/main.mjs"]

/** `unknown`: somebody has ordered in this name before the registration was heard of. */
export const CUSTOMER_STATUSES = ['unknown', 'active', 'deactivated'] as const;
export type CustomerStatus = (typeof CUSTOMER_STATUSES)[number];

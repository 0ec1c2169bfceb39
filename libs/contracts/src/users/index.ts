// Everything that `users` tells. One line per event.
export { UserDeactivated } from './user-deactivated.js';
export { UserProfileChanged } from './user-profile-changed.js';
export { UserRegistered } from './user-registered.js';
export { UserTierChanged } from './user-tier-changed.js';

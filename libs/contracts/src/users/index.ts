// Everything that `users` tells. One line per event.
export { UserRegistered } from './user-registered.js';

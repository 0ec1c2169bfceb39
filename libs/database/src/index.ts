export { connectionSettings, Database, RolledBackError, runTransaction, type DatabaseOptions } from './database.js';
export { DatabaseModule } from './database.module.js';
export {
  isAftermath,
  isContention,
  isDatabaseUnavailable,
  isSerializationFailure,
  isUniqueViolation,
} from './errors.js';
export { migrate, projectFolder, type MigrationSet } from './migrate.js';
export { newId } from './new-id.js';
export { preparedAs } from './prepared.js';
export { closePool, hangUp, openPool } from './pool.js';
export { isOfStatement, Transaction, TransactionClosedError, type OpenTransaction } from './transaction.js';

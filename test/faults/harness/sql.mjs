import pg from 'pg';

/**
 * A database looked at from outside: the checker's own connections, which survive restarts of the server.
 * @param {string} url
 */
export function look(url) {
  const pool = new pg.Pool({ connectionString: url, max: 2, application_name: 'checker', connectionTimeoutMillis: 5_000 });
  pool.on('error', () => {});
  return {
    /**
     * @param {string} sql
     * @param {unknown[]} [values]
     * @returns {Promise<any[]>}
     */
    query: async (sql, values = []) => (await pool.query(sql, values)).rows,
    close: () => pool.end(),
  };
}

/** @typedef {ReturnType<typeof look>} Look */

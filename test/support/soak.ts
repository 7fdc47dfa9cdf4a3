/** Whether the long forms of tests are wanted, as `make soak` does. */
export const SOAK = process.env.INDEXWRIGHT_SOAK === '1';

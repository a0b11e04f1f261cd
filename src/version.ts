/** The package's version, as written into models. A test holds it equal to package.json's. */
export const VERSION = '0.1.0'

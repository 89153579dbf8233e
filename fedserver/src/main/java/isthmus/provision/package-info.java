/** Makes the certificates and kits of a project: a CA, and a folder for the server, every site, every administrator. */
package isthmus.provision;

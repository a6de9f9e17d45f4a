// The page of the API. Knows: where the schema is. Does not know: what it says.

SwaggerUIBundle({ url: "/openapi.json", dom_id: "#api", deepLinking: true });

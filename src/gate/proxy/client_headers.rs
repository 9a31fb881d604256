//! The headers that a client must not pass to an application: one list for every snippet.
//!
//! An application behind our gate may still read the identity headers of another product. A client
//! that can send those can be anybody. nginx cannot clear headers by prefix, so the list holds
//! every documented name.

/// The identity headers that the snippet sets from the gate's answer.
pub const IDENTITY_HEADERS: [&str; 5] =
    ["Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups", "Gongpai-Assertion"];

/// Other headers that the snippet sets itself.
pub const FORWARDED_HEADERS: [&str; 5] =
    ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Real-IP"];

/// Headers that have no meaning behind our gate; the snippet removes them.
pub const CLEARED_HEADERS: &[&str] = &[
    "Gongpai-Denied",
    "Gongpai-Authorization",
    "Gongpai-Cookie",
    // oauth2-proxy, rauthy: https://oauth2-proxy.github.io/oauth2-proxy/configuration/overview
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Access-Token",
    "X-Forwarded-User-Roles",
    "X-Forwarded-User-Groups",
    "X-Forwarded-User-Email",
    "X-Forwarded-User-Email-Verified",
    "X-Forwarded-User-Family-Name",
    "X-Forwarded-User-Given-Name",
    "X-Forwarded-User-Mfa",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Preferred-Username",
    "X-Auth-Request-Access-Token",
    "X-Auth-Request-Redirect",
    // The auth proxies of Grafana and Gitea.
    "X-WEBAUTH-USER",
    "X-WEBAUTH-EMAIL",
    "X-WEBAUTH-NAME",
    "X-WEBAUTH-FULLNAME",
    "X-WEBAUTH-GROUPS",
    "X-WEBAUTH-ROLE",
    // Names that Kubernetes, Jenkins, Nextcloud and others can be configured to read.
    "X-Remote-User",
    "X-Remote-Group",
    "X-Remote-Groups",
    "X-Remote-Email",
    "X-Remote-Name",
    "X-Authenticated-User",
    "X-Authenticated-Email",
    "X-Authenticated-Groups",
    "Auth-User",
    // authentik: https://docs.goauthentik.io/add-secure-apps/providers/proxy/
    "X-authentik-username",
    "X-authentik-groups",
    "X-authentik-entitlements",
    "X-authentik-email",
    "X-authentik-name",
    "X-authentik-uid",
    "X-authentik-jwt",
    "X-authentik-meta-jwks",
    "X-authentik-meta-outpost",
    "X-authentik-meta-provider",
    "X-authentik-meta-app",
    "X-authentik-meta-version",
    // Cloudflare Access.
    "Cf-Access-Authenticated-User-Email",
    "Cf-Access-Jwt-Assertion",
    "Cf-Access-Client-Id",
    "Cf-Access-Client-Secret",
    "Cf-Access-Token",
    // Google Identity-Aware Proxy.
    "X-Goog-Authenticated-User-Email",
    "X-Goog-Authenticated-User-Id",
    "X-Goog-IAP-JWT-Assertion",
    // AWS Application Load Balancer.
    "X-Amzn-Oidc-Data",
    "X-Amzn-Oidc-Identity",
    "X-Amzn-Oidc-Accesstoken",
    // Azure App Service.
    "X-MS-CLIENT-PRINCIPAL",
    "X-MS-CLIENT-PRINCIPAL-ID",
    "X-MS-CLIENT-PRINCIPAL-NAME",
    "X-MS-CLIENT-PRINCIPAL-IDP",
    "X-MS-TOKEN-AAD-ID-TOKEN",
    "X-MS-TOKEN-AAD-ACCESS-TOKEN",
    "X-MS-TOKEN-AAD-REFRESH-TOKEN",
    "X-MS-TOKEN-AAD-EXPIRES-ON",
    // Pomerium, Tailscale Serve, Teleport, vouch.
    "X-Pomerium-Jwt-Assertion",
    "X-Pomerium-Authorization",
    "X-Pomerium-Claim-Email",
    "X-Pomerium-Claim-Groups",
    "X-Pomerium-Claim-User",
    "X-Pomerium-Claim-Name",
    "Tailscale-User-Login",
    "Tailscale-User-Name",
    "Tailscale-User-Profile-Pic",
    "Tailscale-App-Capabilities",
    "Teleport-Jwt-Assertion",
    "X-Vouch-User",
    "X-Vouch-Success",
    "X-Vouch-IdP-AccessToken",
    "X-Vouch-IdP-IdToken",
    "X-Vouch-IdP-Claims-Email",
    "X-Vouch-IdP-Claims-Groups",
    "X-Vouch-IdP-Claims-Name",
    // Kong, LemonLDAP::NG, SiteMinder, Apache's mod_auth_openidc.
    "X-Consumer-Id",
    "X-Consumer-Username",
    "X-Consumer-Custom-Id",
    "X-Authenticated-Userid",
    "X-Anonymous-Consumer",
    "Auth-Mail",
    "Auth-Groups",
    "Auth-Cn",
    "SM-User",
    "SM-Universalid",
    "Oidc-Claim-Sub",
    "Oidc-Claim-Email",
    "Oidc-Claim-Name",
    "Oidc-Claim-Groups",
    "Oidc-Claim-Preferred-Username",
    // The identity of a client certificate: Envoy, Traefik, ingress-nginx, RFC 9440.
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Tls-Client-Cert",
    "X-Forwarded-Tls-Client-Cert-Info",
    "X-SSL-Client-Cert",
    "X-SSL-Client-Verify",
    "X-SSL-Client-DN",
    "X-SSL-Client-S-DN",
    "SSL-Client-Cert",
    "SSL-Client-Verify",
    "SSL-Client-Subject-DN",
    "SSL-Client-Issuer-DN",
    "Client-Cert",
    "Client-Cert-Chain",
    "X-ARR-ClientCert",
    // Next.js before 15.2.3 skips its middleware, and so its checks, on this header
    // (CVE-2025-29927).
    "X-Middleware-Subrequest",
    // A different path, host or scheme from the one that the gate checked.
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X-Forwarded-Prefix",
    "X-Forwarded-Path",
    "X-Forwarded-Scheme",
    "X-Forwarded-Ssl",
    "X-Forwarded-Server",
    "X-Script-Name",
    "X-Ingress-Path",
    "X-Original-URL",
    "X-Original-URI",
    "X-Original-Method",
    "X-Original-Host",
    "X-Rewrite-URL",
    "Forwarded",
    // A different method from the one that the gate checked.
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
    // CGI programs turn it into HTTP_PROXY (httpoxy).
    "Proxy",
];

/// Returns `name` with each hyphen kept or replaced by an underscore, in every combination. The
/// name itself comes first.
pub fn list_spellings(name: &str) -> Vec<String> {
    let mut spellings = vec![String::new()];
    for c in name.chars() {
        if c == '-' {
            let with_underscore: Vec<_> = spellings.iter().map(|s| format!("{s}_")).collect();
            spellings.iter_mut().for_each(|s| s.push('-'));
            spellings.extend(with_underscore);
        } else {
            spellings.iter_mut().for_each(|s| s.push(c));
        }
    }
    spellings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_is_spelt_with_every_mix_of_hyphens_and_underscores() {
        assert_eq!(list_spellings("Proxy"), ["Proxy"]);
        assert_eq!(list_spellings("A-B-C"), ["A-B-C", "A_B-C", "A-B_C", "A_B_C"]);
    }

    #[test]
    fn every_name_stands_in_the_list_once() {
        let all = || IDENTITY_HEADERS.iter().chain(&FORWARDED_HEADERS).chain(CLEARED_HEADERS);
        let distinct: BTreeSet<_> = all().map(|name| name.to_ascii_lowercase()).collect();
        assert_eq!(distinct.len(), all().count());
    }
}

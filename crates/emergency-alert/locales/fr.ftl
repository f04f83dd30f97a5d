# Ce que les gens lisent dans une alerte, en français. La syntaxe est celle de Fluent : https://projectfluent.org/fluent/guide/
#
# Changez les mots à votre gré et recompilez ; les tests disent s'il manque quelque chose. Les noms après $ sont remplis :
#   $known    yes si le numéro composé est connu, sinon no
#   $number   le numéro composé, ou le numéro à rappeler
#   $duration une durée, comme la disent les messages duration-...

## Marques devant un objet, un SMS et chaque ligne d'un exercice

tag-drill = EXERCICE
tag-test = TEST
tag-unverified = NON VÉRIFIÉ
tag-unverified-short = NON VÉRIFIÉ
# $what vaut place (lieu), caller (appelant) ou both (les deux).
tag-now-verified = DÉSORMAIS VÉRIFIÉ
tag-differs =
    { $what ->
        [place] AUTRE LIEU
        [caller] AUTRE APPELANT
       *[both] AUTRE LIEU ET AUTRE APPELANT
    }
tag-updated =
    { $what ->
        [place] LIEU MIS À JOUR
        [caller] APPELANT MIS À JOUR
       *[both] LIEU ET APPELANT MIS À JOUR
    }
tag-other-report = AUTRE LIEU OU APPELANT, LE VÉRIFIÉ RESTE VALABLE
tag-late = EN RETARD
tag-late-by = RETARD { $duration }

## Ce qui s'est passé, en peu de mots : objets, SMS, messagerie

call =
    { $known ->
        [yes] Appel au { $number }
       *[no] Appel d'urgence
    }
short-started = { call }
short-started-ended = { call }, déjà terminé
short-started-ended-at = { call }, déjà terminé à { $time }
short-ended = { call } terminé
short-ended-after = { call } terminé après { $duration }
short-event = { call }, événement "{ $kind }"
short-unknown-event = { call }, événement inconnu
short-unreadable = Appel d'urgence, détails illisibles
short-drill = Exercice, pas un appel réel

## Ce qui s'est passé, en une phrase

headline-started =
    { $known ->
        [yes] Le { $number } a été composé depuis Microsoft Teams.
       *[no] Un numéro d'urgence a été composé depuis Microsoft Teams.
    }
headline-started-ended = { headline-started } L'appel est déjà terminé.
headline-started-ended-at = { headline-started } L'appel est déjà terminé, à { $time }.
headline-ended =
    { $known ->
        [yes] L'appel au { $number } depuis Microsoft Teams est terminé.
       *[no] L'appel d'urgence depuis Microsoft Teams est terminé.
    }
headline-ended-after =
    { $known ->
        [yes] L'appel au { $number } depuis Microsoft Teams s'est terminé après { $duration }.
       *[no] L'appel d'urgence depuis Microsoft Teams s'est terminé après { $duration }.
    }
headline-event =
    { $known ->
        [yes] Microsoft Teams a signalé "{ $kind }" pour un appel au { $number }. Le sens de cet événement n'est pas connu ici.
       *[no] Microsoft Teams a signalé "{ $kind }" pour un appel d'urgence. Le sens de cet événement n'est pas connu ici.
    }
headline-unknown-event =
    { $known ->
        [yes] Microsoft Teams a signalé un événement sans type pour un appel au { $number }.
       *[no] Microsoft Teams a signalé un événement sans type pour un appel d'urgence.
    }
headline-unreadable = Un appel d'urgence a été passé sous la stratégie { $policy } ; les détails n'ont pas pu être lus.
headline-drill = Ceci est un exercice. Personne n'a passé d'appel d'urgence.

## Libellés

label-caller = Appelant
label-account = Compte
label-callback = Rappeler
label-international = International
label-dialled = Numéro composé
label-location = Lieu
label-coordinates = Coordonnées
label-time = Heure
label-started = Début
label-ended = Fin
label-duration = Durée
label-received = Reçu
label-policy = Stratégie
label-tenant = Locataire
label-call = ID de l'appel
labelled = { $label } : { $value }

## Détails

unknown-caller = appelant inconnu
call-back = Rappeler le { $number }
no-callback = Aucun numéro à rappeler
confirm = Traitez-le comme réel, confirmez par un numéro connu
no-location = LOCALISATION ABSENTE
not-given = NON INDIQUÉ
not-readable = ILLISIBLE
under-policy = Stratégie { $policy }
county = Comté : { $county }
house = Numéro de rue { $number }
# Précède l'étage ou la salle quand ils sont donnés sans mots.
unit = Étage/salle { $unit }

## Avertissements

warning-drill = EXERCICE : ce message teste le circuit d'alerte. N'intervenez pas ; notez seulement sa réception.
warning-test =
    { $known ->
        [yes] TEST : le { $number } est un numéro de test.
       *[no] TEST : cet appel a été passé à un numéro de test.
    }
warning-unverified = NON VÉRIFIÉ : l'une des deux preuves que Microsoft a envoyé ceci manque. Traitez l'appel comme réel et confirmez-le par un numéro que vous avez déjà, pas par celui de ce message.
warning-unverified-test = NON VÉRIFIÉ : l'une des deux preuves que Microsoft a envoyé ceci manque.
warning-now-verified = DÉSORMAIS VÉRIFIÉ : ce qui a été signalé auparavant de cet appel n'était pas vérifié. Ce message l'est.
warning-differs =
    { $what ->
        [place] AUTRE LIEU : le signalement non vérifié donnait un autre lieu, ou aucun. Fiez-vous à ce message.
        [caller] AUTRE APPELANT : le signalement non vérifié donnait un autre appelant, ou aucun. Fiez-vous à ce message.
       *[both] AUTRE LIEU ET AUTRE APPELANT : le signalement non vérifié en donnait d'autres, ou aucun. Fiez-vous à ce message.
    }
warning-updated =
    { $what ->
        [place] LIEU MIS À JOUR : le lieu ci-dessus est nouveau. Le message précédent en donnait un autre, ou aucun.
        [caller] APPELANT MIS À JOUR : les données de l'appelant ci-dessus sont nouvelles. Le message précédent en donnait d'autres, ou aucune.
       *[both] LIEU ET APPELANT MIS À JOUR : le lieu et les données de l'appelant ci-dessus sont nouveaux. Le message précédent en donnait d'autres, ou aucun.
    }
warning-other-report = NON VÉRIFIÉ : un signalement donne un autre lieu ou un autre appelant ; le lieu et l'appelant vérifiés restent valables.
warning-no-content = DÉTAILS ILLISIBLES : la notification n'en contenait pas. { ask }
warning-undecryptable = DÉTAILS ILLISIBLES : ils n'ont pas pu être déchiffrés. { ask }
warning-unparseable = DÉTAILS ILLISIBLES : ils n'ont pas la forme attendue. { ask }
ask = Regardez la conversation de sécurité dans Teams, ou demandez au responsable de la téléphonie qui a appelé.
warning-no-location = LOCALISATION ABSENTE : Teams n'a envoyé aucune localisation pour cet appel.
warning-no-street = RUE NON INDIQUÉE : le lieu ci-dessus est tout ce que Teams a envoyé.
warning-late = EN RETARD : cela s'est passé { $duration } avant la création de ce message.
registered-location = Le lieu est celui que Teams a envoyé. Ce peut être le lieu enregistré de l'appelant et non l'endroit où il se trouve.

## Petits caractères

missing-validation-token = Le jeton de validation manque ou n'a pas pu être contrôlé.
missing-client-state = L'état client manque ou est inconnu.
contradiction-tenant = La notification indique un autre locataire : { $stated }
contradiction-policy = La notification indique une autre stratégie : { $stated }

## Beaucoup d'appels non vérifiés dans un message

combined-calls =
    { $count ->
        [one] { $count } appel d'urgence
       *[other] { $count } appels d'urgence
    }
combined-headline =
    { $count ->
        [one] { $count } appel d'urgence a été signalé ; il n'est pas vérifié.
       *[other] { $count } appels d'urgence ont été signalés ; aucun n'est vérifié.
    }
combined-more = et { $count } de plus
combined = Tant d'appels non vérifiés sont arrivés à la fois que ce message les annonce ensemble.

## Ce qui, dans un exercice, tient lieu des données d'un appel

drill-caller = (nom de l'appelant)
drill-account = (compte de l'appelant)
drill-callback = (numéro à rappeler)
drill-street = (numéro et rue)
drill-unit = (étage et salle)
drill-city = (ville)

## Temps. $weekday va de 1 pour lundi à 7, $month de 1 à 12 ; $time est l'heure avec son fuseau.

moment = { weekday } { day } { month } { $year }, { $time }
day =
    { $day ->
        [1] 1er
       *[other] { $day }
    }
weekday =
    { $weekday ->
        [1] lundi
        [2] mardi
        [3] mercredi
        [4] jeudi
        [5] vendredi
        [6] samedi
       *[7] dimanche
    }
month =
    { $month ->
        [1] janvier
        [2] février
        [3] mars
        [4] avril
        [5] mai
        [6] juin
        [7] juillet
        [8] août
        [9] septembre
        [10] octobre
        [11] novembre
       *[12] décembre
    }
at = Heure : { $time }
received-at = Reçu : { $time }
before = { $duration } avant la création de ce message
ahead = { $duration } en avance sur l'horloge de ce système

duration-seconds =
    { $count ->
        [one] { $count } seconde
       *[other] { $count } secondes
    }
duration-minutes =
    { $count ->
        [one] { $count } minute
       *[other] { $count } minutes
    }
duration-hours =
    { $count ->
        [one] { $count } heure
       *[other] { $count } heures
    }
duration-days =
    { $count ->
        [one] { $count } jour
       *[other] { $count } jours
    }
duration-pair = { $longer } { $shorter }
short-seconds = { $count } s
short-minutes = { $count } min
short-hours = { $count } h
short-days = { $count } j

## Nombres

decimal-mark = ,
coordinates = { $latitude } ; { $longitude }
